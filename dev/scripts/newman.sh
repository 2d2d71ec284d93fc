#!/bin/sh
# Install newman for the test of the Postman collection, beside its lock in dev/newman/.
set -eu
cd "$(dirname "$0")/../newman"
# npm writes that file last.
if [ node_modules/.package-lock.json -nt package-lock.json ]; then
    exit 0
fi
if command -v npm >/dev/null; then
    echo "Installing newman, for the test of the Postman collection"
    npm ci --loglevel=error --ignore-scripts ||
        echo "note: without newman the test of the Postman collection fails" >&2
else
    echo "note: the test of the Postman collection needs Node.js 20 or newer, with npm" >&2
fi
