#!/bin/sh
# Makes sure Node.js and npm are on this machine, for the tests that run a plugin
# in JavaScript, and prints the folder that holds node. Everything else goes to
# stderr.
#
# Order: what is on the PATH (Node.js 18 or newer), then the system's package
# manager, as root or through `sudo -n`.

# by_hand holds a command line: it is split into words on purpose.
# shellcheck disable=SC2086
set -eu

say() { printf 'node: %s\n' "$*" >&2; }

fail() {
	say "$@"
	exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

found() {
	has node && has npm || return 1
	major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
	[ "$major" -ge 18 ] || return 1
	dirname "$(command -v node)"
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@" >&2
	else
		sudo -n "$@" >&2
	fi
}

if found; then
	exit 0
fi

install=as_root
if has apt-get; then
	by_hand='apt-get install -y --no-install-recommends nodejs npm'
elif has dnf; then
	by_hand='dnf install -y nodejs npm'
elif has apk; then
	by_hand='apk add nodejs npm'
elif has brew; then
	by_hand='brew install node'
	install=
else
	fail "Node.js 18 or newer with npm is missing and no package manager known here can install it."
fi

if [ -n "$install" ] && [ "$(id -u)" -ne 0 ]; then
	{ has sudo && sudo -n true 2>/dev/null; } || fail "Node.js or npm is missing and installing it needs root. Run: sudo $by_hand"
fi

say "not found; running: $by_hand"
if has apt-get; then
	as_root apt-get update -q || fail "the list of packages cannot be fetched"
fi
$install $by_hand >&2 || fail "the installation failed. Run: $by_hand"
found || fail "installed, but Node.js 18 or newer with npm is still not on the PATH."
