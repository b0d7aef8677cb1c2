# Shared by hack/differential and hack/differential-bench, which source it from the root of the repository.
# shellcheck shell=bash disable=SC2034

peers=hack/differential-peers
cache=$PWD/.cache/differential
judge=target/release/examples/judge
cyclonus=$cache/cyclonus
nca_version=2.1.0

build_judge() {
  need python3 "install Python 3"
  cargo build --release --locked --quiet -p bulkhead-policy --example judge
}

build_cyclonus() {
  mkdir -p "$cache"
  if ! command -v go >/dev/null; then
    echo "skipped: cyclonus (Go is missing)"
    return 1
  fi
  if ! (cd $peers && go build -o "$cyclonus" .); then
    echo "skipped: cyclonus (its Go module cannot be fetched or built from here)"
    return 1
  fi
}

install_nca() {
  if [ ! -e "$cache/nca-$nca_version" ]; then
    rm -rf "$cache/venv"
    if ! { python3 -m venv "$cache/venv" && "$cache/venv/bin/pip" install --quiet "network-config-analyzer==$nca_version"; }; then
      echo "skipped: network-config-analyzer (its Python package cannot be installed from here)"
      return 1
    fi
    touch "$cache/nca-$nca_version"
  fi
}

# Its warnings about what it reads go nowhere; its failures are shown.
nca_answers() {
  "$cache/venv/bin/python" $peers/nca_answers.py "$@" 2>"$cache/nca.log" || { tail -n 20 "$cache/nca.log" >&2; return 1; }
}
