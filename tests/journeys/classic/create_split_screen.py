from classic import ffmpeg, flags

given = flags("left", "right", "output").parse_args()
graph = "[0]scale=960:1080[l];[1]scale=960:1080[r];[l][r]hstack"
ffmpeg("-i", given.left, "-i", given.right, "-filter_complex", graph, "-frames:v", 1, given.output)
