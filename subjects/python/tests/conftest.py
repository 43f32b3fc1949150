"""Makes the runtime and the generated modules importable, wherever pytest is started."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

subprocess.run([ROOT / "scripts" / "generate-python-protos"], check=True)
sys.path[:0] = [str(ROOT / "subjects" / "python"), str(ROOT / "build" / "python")]
