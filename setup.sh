#!/bin/sh
# Make .venv with everything that operando and its tests need; with the word judges, .judges with programs of others that some
# tests ask; with the word nvrtc, .nvrtc with NVIDIA's compiler, which one test asks. Run by make; safe to run again.
set -eu
cd "$(dirname "$0")"
VENV=.venv

say() { printf 'setup: %s\n' "$*" >&2; }

find_python() {
    for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    say "found no Python 3.11, 3.12 or 3.13: install one, or name it: make PYTHON=/path/to/python3.12"
    exit 69
}

has_library() { { ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep -q "$1"; }

# Wheels bring Qt, but not the libraries of the system's screen; a demo without a screen draws on Xvfb with Mesa's software OpenGL.
missing_packages() {
    while read -r library package; do
        has_library "$library" || printf '%s ' "$package"
    done <<LIBRARIES
libGL.so.1 libgl1
libEGL.so.1 libegl1
libGLX_mesa.so.0 libglx-mesa0
libEGL_mesa.so.0 libegl-mesa0
libxkbcommon.so.0 libxkbcommon0
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libfreetype.so.6 libfreetype6
libglib-2.0.so.0 libglib2.0-0
libX11.so.6 libx11-6
libX11-xcb.so.1 libx11-xcb1
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-sync.so.1 libxcb-sync1
libxcb-util.so.1 libxcb-util1
libxcb-xfixes.so.0 libxcb-xfixes0
libxcb-xkb.so.1 libxcb-xkb1
LIBRARIES
    ls /usr/lib/*/dri/swrast_dri.so /usr/lib/*/libgallium*.so >/dev/null 2>&1 || printf 'libgl1-mesa-dri '
    command -v Xvfb >/dev/null || printf 'xvfb '
    [ -d /usr/share/fonts/truetype/dejavu ] || printf 'fonts-dejavu-core '
    "$1" -c 'import ensurepip, venv' 2>/dev/null || printf 'python3-venv '
}

install_packages() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing system packages: $*"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq >&2
        # shellcheck disable=SC2068
        apt-get install -y -qq --no-install-recommends $@ >/dev/null
    else
        say "these system packages are missing; install them with the following line, then run make again:"
        echo "sudo apt-get install -y --no-install-recommends $*" >&2
        exit 69
    fi
}

# Nobody needs the judges to use operando: where they cannot be had, their tests say so and are skipped.
make_judges() {
    ! cmp -s tests/judges/requirements.txt .judges/installed.txt || return 0
    say "installing the programs of others that judge into .judges (about 200 MB, half a minute)"
    "$VENV/bin/python" -m venv .judges
    if .judges/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: -r tests/judges/requirements.txt; then
        cp tests/judges/requirements.txt .judges/installed.txt
    else
        say "they cannot be had: tests that ask them will be skipped"
        rm -rf .judges
    fi
}

NVRTC=nvidia-cuda-nvrtc-cu12==12.9.86

make_nvrtc() {
    [ ! -d .nvrtc ] || return 0
    say "installing $NVRTC into .nvrtc (about 170 MB)"
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: --target .nvrtc "$NVRTC" || {
        rm -rf .nvrtc
        say "it cannot be had: its test will be skipped"
    }
}

case "${1:-}" in
judges) make_judges; exit ;;
nvrtc) make_nvrtc; exit ;;
esac

PYTHON_FOUND=$(find_python)
PACKAGES=$(missing_packages "$PYTHON_FOUND")
# shellcheck disable=SC2086
[ -z "$PACKAGES" ] || install_packages $PACKAGES

if ! cmp -s requirements.txt "$VENV/installed.txt"; then
    [ -x "$VENV/bin/python" ] || "$PYTHON_FOUND" -m venv "$VENV"
    say "installing the pinned Python packages into $VENV (about 1.5 GB, some two minutes)"
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: -r requirements.txt
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    cp requirements.txt "$VENV/installed.txt"
fi
say "compiling the kernels (once)"
"$VENV/bin/python" -m operando warm
touch "$VENV/ready"
