#!/bin/sh
# Copy the libraries of the web pages from their npm packages into static/vendor/, unchanged, with
# licences and the origin of each file. Needs npm.
set -eu
cd "$(dirname "$0")/../.."

MARKED=18.2.1
DOMPURIFY=3.4.18

unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
vendor=static/vendor
rm -rf "$vendor"
mkdir -p "$vendor"

take() { # package, version, file in it, name here
    mkdir "$unpacked/$1"
    npm pack --silent --pack-destination "$unpacked" "$1@$2" >/dev/null
    tar -xzf "$unpacked/$1-$2.tgz" -C "$unpacked/$1" --strip-components=1
    cp "$unpacked/$1/$3" "$vendor/$4"
    cp "$unpacked/$1/LICENSE" "$vendor/$1.LICENSE"
    printf '| %s | %s %s, %s | %s |\n' \
        "$4" "$1" "$2" "$3" "$(sha256sum "$vendor/$4" | cut -d' ' -f1)" >>"$vendor/README.md"
}

cat >"$vendor/README.md" <<'NOTE'
Unchanged files of npm packages; `make vendor` fetches them again.

| file | from | sha256 |
|---|---|---|
NOTE
take marked "$MARKED" lib/marked.esm.js marked.js
take dompurify "$DOMPURIFY" dist/purify.es.mjs purify.js
