from classic import ffmpeg, flags, secret

given = flags("text", "output", model="old", stability=0.40, similarity=0.75, style=0.12).parse_args()
secret("ELEVENLABS_API_KEY")
secret("ELEVENLABS_VOICE_ID")
ffmpeg("-f", "lavfi", "-i", f"sine=f=300:d={2 + len(given.text) % 10 / 10}", "-c:a", "libmp3lame", given.output)
