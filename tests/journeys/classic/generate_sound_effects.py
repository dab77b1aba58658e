from classic import ffmpeg, flags, secret

parser = flags("text", "output", duration=10.0, prompt_influence=0.3, format="mp3_44100_128", target_volume=-30.0)
parser.add_argument("--normalize", action="store_true")
parser.add_argument("--no-normalize", action="store_true")
given = parser.parse_args()
secret("ELEVENLABS_API_KEY")
ffmpeg("-f", "lavfi", "-i", f"anoisesrc=d={given.duration}:a=0.05", "-c:a", "libmp3lame", given.output)
