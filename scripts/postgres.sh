#!/bin/sh
# Makes sure PostgreSQL's server programs are on this machine and prints the
# folder that holds them. Everything else goes to stderr.
#
# Order: NEXUS_PG_BIN, then what is installed (newest version first), then the
# system's package manager, as root or through `sudo -n`. No database cluster is
# created or started: nexus and the tests start private ones of their own.

# by_hand holds a command line: it is split into words on purpose.
# shellcheck disable=SC2086
set -eu

say() { printf 'postgres: %s\n' "$*" >&2; }

fail() {
	say "$@"
	exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

is_server() { [ -x "$1/initdb" ] && [ -x "$1/postgres" ]; }

# Folders used by Debian, the PostgreSQL project's RPMs, Alpine, Homebrew and Postgres.app:
# the same as in libs/embed/embedpg.
versioned_folders() {
	for folder in \
		/usr/lib/postgresql/*/bin \
		/usr/pgsql-*/bin \
		/usr/libexec/postgresql[0-9]* \
		/opt/homebrew/opt/postgresql@*/bin \
		/usr/local/opt/postgresql@*/bin \
		/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin; do
		[ -d "$folder" ] || continue
		version=$(printf '%s' "$folder" | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
		printf '%s %s\n' "$version" "$folder"
	done | sort -rn | cut -d ' ' -f 2-
}

folder_on_path() {
	program=$(command -v postgres) || return 0
	# A package may link some programs into the PATH and keep the rest together elsewhere.
	dirname "$(readlink -f "$program" 2>/dev/null || printf '%s' "$program")"
}

find_server() {
	{ versioned_folders; folder_on_path; } | while IFS= read -r folder; do
		if is_server "$folder"; then
			printf '%s\n' "$folder"
			break
		fi
	done
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@" >&2
	else
		sudo -n "$@" >&2
	fi
}

# Debian's package creates and starts a cluster named main unless told not to.
# The drop-in that says so goes away afterwards: a later install behaves as usual.
install_with_apt() {
	drop_in=/etc/postgresql-common/createcluster.d/nexus.conf
	trap 'as_root rm -f "$drop_in"' EXIT
	as_root apt-get update -q &&
		as_root mkdir -p "${drop_in%/*}" &&
		as_root sh -c "echo 'create_main_cluster = false' >$drop_in" &&
		as_root env DEBIAN_FRONTEND=noninteractive $by_hand
}

if [ -n "${NEXUS_PG_BIN:-}" ]; then
	is_server "$NEXUS_PG_BIN" ||
		fail "NEXUS_PG_BIN is $NEXUS_PG_BIN, which does not hold initdb and postgres."
	printf '%s\n' "$NEXUS_PG_BIN"
	exit 0
fi

found=$(find_server)
if [ -n "$found" ]; then
	printf '%s\n' "$found"
	exit 0
fi

install=as_root
if has apt-get; then
	by_hand='apt-get install -y --no-install-recommends postgresql'
	install=install_with_apt
elif has dnf; then
	by_hand='dnf install -y postgresql-server'
elif has apk; then
	by_hand='apk add postgresql'
elif has brew; then
	by_hand='brew install postgresql@17'
	install=
else
	fail "the server programs (initdb, postgres) are missing and no package manager known here can install them." \
		"Install PostgreSQL, or set NEXUS_PG_BIN to the folder that holds them."
fi

sudo=
if [ -n "$install" ] && [ "$(id -u)" -ne 0 ]; then
	sudo='sudo '
	{ has sudo && sudo -n true 2>/dev/null; } ||
		fail "the server programs are missing and installing them needs root. Run: $sudo$by_hand"
fi

say "PostgreSQL is not installed here; installing it, which takes a minute: $sudo$by_hand"
case $install in
install_with_apt) install_with_apt ;;
*) $install $by_hand >&2 ;;
esac || fail "the installation failed. Run: $sudo$by_hand"

found=$(find_server)
[ -n "$found" ] ||
	fail "installed, but no folder holds initdb and postgres together. Set NEXUS_PG_BIN to the right one."
printf '%s\n' "$found"
