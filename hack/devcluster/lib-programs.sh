# Shared by the scripts that build programs from Go modules. Source it in hack/devcluster, with a lock on descriptor 9.
# shellcheck shell=bash

digest() { sha256sum | cut -c1-16; }

# program NAME PACKAGE…: prints the folder that holds the built packages of programs/NAME, or of the folder that its
# script `prepare` makes of it.
program() {
  local name=$1 module=programs/$1 flags="-s -w" stamp=k8s.io/component-base/version version minor folder from
  shift
  version=$(sed -nE 's#^(require)?[[:space:]]*k8s.io/kubernetes (v[^ ]+).*#\2#p' "$module/go.mod")
  if [[ -n $version ]]; then
    minor=${version#v1.}
    flags+=" -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}"
  fi
  folder=$PWD/bin/$name-$( (echo "$flags $*"; find "$module" -type f | LC_ALL=C sort | xargs cat) | digest)
  if [[ ! -d $folder ]]; then
    echo "building $name: $* (some minutes when Go's cache is cold)" >&2
    rm -rf "$folder.new" "$folder.source"
    mkdir -p "$folder.new"
    from=$module
    if [[ -x $module/prepare ]]; then
      "$module/prepare" "$folder.source"
      from=$folder.source
    fi
    (cd "$from" && GOWORK=off CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$flags" -o "$folder.new/" "$@" 9>&-) >&2
    rm -rf "$folder.source"
    mv "$folder.new" "$folder"
  fi
  echo "$folder"
}

# module_folder NAME MODULE: prints where Go keeps the sources of a module that programs/NAME requires.
module_folder() { (cd "programs/$1" && export GOWORK=off && go mod download "$2" && go list -m -f '{{.Dir}}' "$2"); }
