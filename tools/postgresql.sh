#!/bin/sh
# Makes a PostgreSQL available to the tests: the one that is here, else Debian's (root), else the wheel (the arguments install it).
set -eu

here() {
    command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}

if here; then
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "the tests need PostgreSQL: install it so that initdb is found, or run as a user that is not root" >&2
        exit 1
    fi
    echo "installing PostgreSQL with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    # The package would start a cluster of its own; the tests make theirs.
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends postgresql
    here
else
    echo "installing PostgreSQL as a wheel"
    "$@"
fi
