#!/bin/sh
# install-packages.sh VENV: install /tmp/packages.txt from /tmp/wheelhouse inside an image
# build.  Every hash is checked and no network used.
#
# Any Python 3.11 will do, with or without pip and ensurepip: pip runs out of its own wheel
# and stays out of the image.
set -eu
venv=$1
wheelhouse=/tmp/wheelhouse
packages=$venv/lib/python3.11/site-packages

version=$(sed -n 's/^pip==\([^ ]*\).*/\1/p' /tmp/pip.txt)
sum=$(sed -n 's/.*--hash=sha256:\([0-9a-f]*\).*/\1/p' /tmp/pip.txt)
pip=$wheelhouse/pip-$version-py3-none-any.whl
echo "$sum  $pip" | sha256sum --check --quiet

touch /tmp/began
[ -x "$venv/bin/python" ] || python3 -m venv --without-pip "$venv"
"$venv/bin/python" -B "$pip/pip" install --no-index --find-links "$wheelhouse" \
    --require-hashes --no-deps --no-compile --no-cache-dir --disable-pip-version-check \
    --root-user-action ignore --quiet --requirement /tmp/packages.txt

# Never loaded here: packages' own tests, and what only a C++ compiler or linker reads.
find "$packages" -depth -type d -name tests -exec rm -rf {} +
find "$packages" -name '*.a' -delete
torch=$packages/torch
if [ -d "$torch" ]; then
    rm -rf "$torch/include" "$torch/share/cmake" "$torch/test"
    find "$torch/bin" -type f ! -name torch_shm_manager -delete
fi

# Byte code that does not depend on the time of the build, for what was installed just now:
# an older layer's files would be written again into this one.  One file of PyTorch's tests
# is in the syntax of a later Python.
find "$packages" -name '*.py' -cnewer /tmp/began ! -path '*/torch/testing/_internal/py312_*' |
    "$venv/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -i -
rm /tmp/began
