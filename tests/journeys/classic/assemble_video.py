import json
from pathlib import Path

from classic import ffmpeg, flags

given = flags("manifest", "output").parse_args()
clips = sorted(json.loads(Path(given.manifest).read_text())["clips"], key=lambda clip: clip["clip_number"])
inputs, graph = [], ""
for at, clip in enumerate(clips):
    inputs += ["-i", clip["video"], "-i", clip["audio"], "-i", clip["sfx"]]
    graph += f"[{3 * at}:v]trim=end=2,setpts=PTS-STARTPTS[v{at}];"
    graph += f"[{3 * at + 1}:a][{3 * at + 2}:a]amix=duration=first,atrim=end=2[a{at}];"
graph += "".join(f"[v{at}][a{at}]" for at in range(len(clips))) + f"concat=n={len(clips)}:v=1:a=1[v][a]"
coded = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
ffmpeg(*inputs, "-filter_complex", graph, "-map", "[v]", "-map", "[a]", *coded, given.output)
