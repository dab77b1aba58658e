import sys

from classic import ffmpeg, flags, secret

given = flags("image", "prompt", "output").parse_args()
secret("KIE_API_KEY")
sys.stdout.write(f"Rendering {given.prompt}\n")
coded = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
ffmpeg(
    "-loop", 1, "-framerate", 24, "-i", given.image, "-t", 3, "-vf", "scale=1920:1080,setsar=1", *coded, given.output
)
