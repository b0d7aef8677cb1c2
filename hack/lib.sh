# Shared by the scripts in this folder. Source it; it expects to be sourced from the root of the repository.
# shellcheck shell=bash

say() { printf '\n=== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Names what is missing and how to get it.
need() {
  command -v "$1" >/dev/null 2>&1 || die "$1 is missing: $2"
}

need_toolchains() {
  need cargo "install Rust (https://rustup.rs); Cargo.toml says which version is the oldest that works"
  need go "install Go (https://go.dev/dl); hack/devcluster/go.mod says which version"
  if ! command -v cc >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
      say "installing a C compiler and linker"
      apt-get update -qq && apt-get install -y -qq gcc libc6-dev
    else
      die "cc is missing: install a C compiler and linker (Debian: gcc libc6-dev)"
    fi
  fi
}

# seconds_since START
seconds_since() { awk -v a="$1" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }'; }

# tool_from_package TOOL PACKAGE: prints the path of a tool; takes it out of a Debian package without installing the
# package (which would start its services) where the system has no such tool. Fails where it cannot be had.
tool_from_package() {
  local cache=.cache/packages
  command -v "$1" && return
  if [ ! -x "$cache/usr/bin/$1" ]; then
    command -v apt-get >/dev/null || return 1
    mkdir -p "$cache"
    # Without root the package lists cannot be refreshed; what is there may do.
    (cd "$cache" && { apt-get update -qq || true; apt-get download -qq "$2" && dpkg-deb -x "$2"_*.deb . && rm "$2"_*.deb; }) >&2 || return 1
  fi
  echo "$PWD/$cache/usr/bin/$1"
}
