#!/bin/sh
# Fetch nginx for the tests of the proxy: from Debian, into var/, so that no service starts.
set -eu
cd "$(dirname "$0")/../.."
if [ -n "${NGINX:-}" ] || command -v nginx >/dev/null || [ -x var/nginx/usr/sbin/nginx ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Fetching nginx, for the tests of the proxy"
    mkdir -p var/nginx
    cd var/nginx
    apt-get update -qq
    apt-get download -qq nginx
    dpkg-deb -x nginx_*.deb .
    rm nginx_*.deb
else
    echo "note: the tests of the proxy need nginx: install it, or name one with NGINX=" >&2
fi
