# Shared by the bash scripts in tools/: a virtual environment with the project installed in it.
#
#     . "$(dirname "${BASH_SOURCE[0]}")/lib/venv.sh"
#     emp_venv                  EMP and what it needs to run
#     emp_venv dev              the same, and what its tests, checks and benchmarks need
#     "$EMP_PYTHON" -m …        the interpreter of that environment
#
# The first run creates .venv and installs; later runs only compare a stamp. The stamp says what
# was installed: the contents of pyproject.toml, the version of Python and the place of the tree.
# Choose another interpreter with PYTHON=/path/to/python. Progress and errors go to stderr.

EMP_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
EMP_VENV=$EMP_ROOT/.venv
EMP_PYTHON=$EMP_VENV/bin/python
EMP_OLDEST_PYTHON="3, 11"       # as requires-python in pyproject.toml

emp_say() { printf 'emp: %s\n' "$*" >&2; }

emp_die() {                     # emp_die WHAT-IS-WRONG [WHAT-TO-DO]
    printf 'emp: error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'emp: %s\n' "$2" >&2
    exit 1
}

emp_venv() {                    # emp_venv [dev]
    local extras=${1:-} stamp file
    file=$EMP_VENV/emp-stamp${extras:+-$extras}
    stamp=$(emp_stamp) || emp_die "cannot read $EMP_ROOT/pyproject.toml"
    emp_is_current "$file" "$stamp" && return
    # The lock is on the directory itself, so that no lock file is left in the tree.
    {
        flock --nonblock 9 || { emp_say "waiting for another run that sets up .venv"; flock 9; }
        emp_is_current "$file" "$stamp" || emp_install "$extras" "$file"
    } 9<"$EMP_ROOT"
}

emp_stamp() {
    local sum
    sum=$(sha256sum "$EMP_ROOT/pyproject.toml") && printf '%s %s' "${sum%% *}" "$EMP_ROOT"
}

emp_is_current() {              # emp_is_current STAMP-FILE STAMP
    local found="" version="" line
    [ -r "$1" ] && [ -r "$EMP_VENV/pyvenv.cfg" ] || return 1
    while read -r line; do
        case $line in version*=*) version=${line##*= } ;; esac
    done <"$EMP_VENV/pyvenv.cfg"
    read -r found <"$1"
    [ "$found" = "$2 $version" ] && emp_runs "$EMP_PYTHON"
}

emp_runs() {                    # an interpreter that starts and is new enough
    "$1" -IS -c "import sys; sys.exit(sys.version_info < ($EMP_OLDEST_PYTHON))" >/dev/null 2>&1
}

emp_install() {                 # emp_install EXTRAS STAMP-FILE
    local started=$SECONDS base output
    rm -f "$EMP_VENV"/emp-stamp*
    if ! emp_runs "$EMP_PYTHON" || ! "$EMP_PYTHON" -m pip --version >/dev/null 2>&1; then
        emp_find_python
        emp_say "creating .venv with $("$base" --version 2>&1)"
        output=$("$base" -m venv --clear "$EMP_VENV" 2>&1) ||
            emp_die_showing "$output" "cannot create $EMP_VENV"
    fi
    emp_say "installing EMP${1:+ and its $1 tools} into .venv (once; takes a minute or less)"
    output=$(cd "$EMP_ROOT" && "$EMP_PYTHON" -m pip install --disable-pip-version-check --no-input \
        --progress-bar off --editable ".${1:+[$1]}" 2>&1 </dev/null) ||
        emp_die_showing "$output" "cannot install what the project needs" \
            "What pip said stands above. Run the command again when that is mended."
    # What the extras need includes what plain EMP needs, so one installation earns both stamps.
    printf '%s %s\n' "$(emp_stamp)" "$(emp_venv_version)" | tee "$EMP_VENV/emp-stamp" >"$2"
    emp_say "installed in $((SECONDS - started)) s"
}

emp_venv_version() { sed -n 's/^version *= *//p' "$EMP_VENV/pyvenv.cfg"; }

emp_die_showing() {             # emp_die_showing OUTPUT WHAT-IS-WRONG [WHAT-TO-DO]
    tail -n 15 <<<"$1" | sed 's/^/    /' >&2
    shift
    emp_die "$@"
}

# Sets base to an interpreter that can make virtual environments. python3 comes first: it is what
# the user has chosen with pyenv, conda or the like. Debian's Python has a venv module that does
# not work without a package of its own, so that is added when nothing better is found.
emp_find_python() {
    local candidate first=""
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if emp_runs "$candidate"; then
            base=$candidate
            emp_can_make_venv && return
            first=${first:-$candidate}
        fi
        [ -z "${PYTHON:-}" ] || break
    done
    [ -z "${PYTHON:-}" ] || [ -n "$first" ] || emp_die "PYTHON=$PYTHON is not Python 3.11 or newer"
    [ -n "$first" ] || emp_die "Python 3.11 or newer is needed, and none was found" \
        "On Debian or Ubuntu: sudo apt-get install python3 python3-venv"
    base=$first
    ! command -v apt-get >/dev/null || "$EMP_ROOT/tools/lib/packages" "$(emp_venv_package)" || exit 1
    emp_can_make_venv || emp_die "$base cannot make virtual environments: it lacks ensurepip" \
        "On Debian or Ubuntu: sudo apt-get install $(emp_venv_package)"
}

emp_can_make_venv() { "$base" -c 'import ensurepip, venv' >/dev/null 2>&1; }

emp_venv_package() {
    "$base" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}
