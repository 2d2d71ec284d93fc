#!/bin/sh
# Install Chromium for the tests of pages: for root from Debian. Others get a note.
set -eu
found() {
    for name in "$@"; do
        if [ -n "$name" ] && command -v "$name" >/dev/null; then
            return 0
        fi
    done
    return 1
}
install() {
    echo "Installing $1, for the tests of pages"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

# Chromium without windows takes half the CPU of the whole browser.
if found "${CHROMIUM:-}" chromium-headless-shell; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    found chromium chromium-browser google-chrome || apt-get update -qq
    # Not every release has it.
    if apt-cache show chromium-headless-shell >/dev/null 2>&1 && install chromium-headless-shell; then
        exit 0
    fi
    found chromium chromium-browser google-chrome || install chromium
elif ! found chromium chromium-browser google-chrome; then
    echo "note: the tests of pages need Chromium: install it, or name one with CHROMIUM=" >&2
fi
