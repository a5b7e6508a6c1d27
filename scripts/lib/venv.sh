# Sourced by the scripts beside it, with $root set: the project's own Python in $root/.venv.
# POSIX sh, so that it runs under dash and under the old bash of macOS.

venv="$root/.venv"

find_python() { # print a Python >= 3.11 that can make virtual environments
    crippled=
    for name in python3.11 python3.12 python3.13 python3.14 python3 python; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
        if "$name" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            printf '%s\n' "$name"
            return
        fi
        crippled=$name
    done
    if [ -n "$crippled" ]; then
        echo "flockpy: $crippled has no venv and ensurepip modules. Install them and run this again:" >&2
        echo "    Debian, Ubuntu:  apt install python3-venv" >&2
    else
        echo "flockpy: needs Python 3.11 or newer, and none is on PATH. Install it and run this again:" >&2
        echo "    Debian, Ubuntu:  apt install python3 python3-venv" >&2
        echo "    macOS:           brew install python@3.13" >&2
    fi
    return 1
}

make_venv() {
    python=$(find_python) || return 1
    "$python" -m venv --clear "$venv" && printf '%s\n' "$root" >"$venv/.place"
}

have_uv() { [ -x "$venv/bin/uv" ] && "$venv/bin/uv" --version >/dev/null 2>&1; }

install_uv() { # the one pinned and hashed in requirements.txt
    awk '/^[^ #]/ { wanted = /^uv==/ } wanted' "$root/requirements.txt" |
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --require-hashes \
            -r /dev/stdin
}

install_packages() { # the pins file $1, then this checkout itself, editable, built by the pinned hatchling
    # uv takes a fifth of pip's time, but reads no pip.conf: where only pip knows the way, pip does it.
    # Behind a company's proxy only the system's certificates know it, so they are the ones to trust.
    if have_uv || install_uv 2>/dev/null; then
        if install_with "$1" "$venv/bin/uv" pip install --quiet --system-certs --cache-dir "$root/.cache/uv" \
            --python "$venv/bin/python"; then return; fi
        echo "flockpy: trying again with pip" >&2
    fi
    install_with "$1" "$venv/bin/python" -m pip install --quiet --disable-pip-version-check
}

install_with() { # the pins file $1, then an install command
    pins=$1
    shift
    "$@" --no-deps --require-hashes -r "$pins" && "$@" --no-deps --no-build-isolation --editable "$root"
}

pins_of() { if [ "$1" = dev ]; then echo "$root/requirements-dev.txt"; else echo "$root/requirements.txt"; fi; }

stamp_of() { cat "$(pins_of "$1")" "$root/pyproject.toml" | cksum; }

ensure_venv() { # run | dev: install once, and again when the pins, the project file or the checkout's place change
    if [ "$(cat "$venv/.place" 2>/dev/null)" = "$root" ] && "$venv/bin/python" -c '' 2>/dev/null; then
        [ "$(cat "$venv/.installed-$1" 2>/dev/null)" != "$(stamp_of "$1")" ] || return 0
    else
        make_venv || return 1 # the programs in it carry absolute paths, so a moved one does not work either
    fi
    echo "flockpy: installing into .venv (only the first time, and when the pins change)" >&2
    install_packages "$(pins_of "$1")" || return 1
    stamp_of run >"$venv/.installed-run"
    [ "$1" = run ] || stamp_of dev >"$venv/.installed-dev"
}
