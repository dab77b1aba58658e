from classic import ffmpeg, flags, secret

parser = flags("prompt", "output")
parser.add_argument("--reference-image", action="append", default=[])
given = parser.parse_args()
secret("GEMINI_API_KEY")
colour = f"0x{sum(given.prompt.encode()) * 7919 % 0xFFFFFF:06x}"
ffmpeg("-f", "lavfi", "-i", f"color={colour}:s=640x360", "-frames:v", 1, given.output)
