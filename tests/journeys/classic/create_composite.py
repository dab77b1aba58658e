from classic import ffmpeg, flags

given = flags("character", "environment", "output", scale=1.0).parse_args()
graph = f"[0]scale=1920:1080[e];[1]scale={round(600 * given.scale)}:-2[c];[e][c]overlay=(W-w)/2:H-h"
ffmpeg("-i", given.environment, "-i", given.character, "-filter_complex", graph, "-frames:v", 1, given.output)
