#!/usr/bin/env bash
# Certificates for mutual TLS between the processes of a Dask cluster. Needs openssl and nothing else.
#
#   deploy/tls.sh DIR [DAYS]      makes what is missing in DIR, valid for DAYS days (365)
#
# It makes an authority for this cluster alone (ca.pem), a certificate for the scheduler and the
# workers (node.pem), and one for clients (client.pem), with which nobody can pass for a scheduler or
# a worker. What is there is kept. On stdout it prints the environment variables that make Dask use
# the keys that are in DIR: eval "$(deploy/tls.sh DIR)".
#
# Whoever has node.key or client.key can run code on the cluster. ca.key signs further certificates
# and is not needed by anything that runs: keep it elsewhere. Without it nothing more is made, so that
# on other hosts the same command prints the variables for the files that were copied there.
set -euo pipefail
umask 077

if [ $# -lt 1 ] || [ $# -gt 2 ] || [ "${1#-}" != "$1" ]; then
    echo "usage: tls.sh DIR [DAYS]" >&2
    exit 2
fi
days=${2:-365}
mkdir -p -- "$1"
folder=$(cd -- "$1" && pwd)
# Keys are not to be committed, wherever the folder is.
[ -e "$folder/.gitignore" ] || echo '*' >"$folder/.gitignore"
pending=$(mktemp -d -- "$folder/.tls.XXXXXX")
trap 'rm -rf -- "$pending"' EXIT

key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>"$pending/log" ||
        fail
}

fail() {
    cat "$pending/log" >&2
    exit 1
}

# A certificate and its key appear together at their names, and only when both are complete.
publish() {
    chmod 0644 "$pending/$1.pem"
    mv -- "$pending/$1.key" "$folder/$1.key"
    mv -- "$pending/$1.pem" "$folder/$1.pem"
    echo "made $folder/$1.pem" >&2
}

make_authority() {
    cat >"$pending/ca.cnf" <<'END'
[req]
prompt = no
distinguished_name = name
x509_extensions = authority
[name]
CN = codebatch cluster authority
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
END
    key "$pending/ca.key"
    openssl req -new -x509 -sha256 -days "$days" -config "$pending/ca.cnf" \
        -key "$pending/ca.key" -out "$pending/ca.pem" 2>"$pending/log" || fail
    publish ca
}

# make_certificate NAME USES
make_certificate() {
    cat >"$pending/$1.ext" <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = $2
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
    key "$pending/$1.key"
    openssl req -new -sha256 -subj "/CN=codebatch $1" -key "$pending/$1.key" \
        -out "$pending/$1.csr" 2>"$pending/log" || fail
    openssl x509 -req -sha256 -days "$days" -in "$pending/$1.csr" \
        -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -set_serial "0x$(openssl rand -hex 16)" \
        -extfile "$pending/$1.ext" -out "$pending/$1.pem" 2>"$pending/log" || fail
    publish "$1"
}

[ -e "$folder/ca.pem" ] || make_authority
if [ -e "$folder/ca.key" ]; then
    # Workers connect to the scheduler and to each other, so theirs is good for both ends.
    [ -e "$folder/node.pem" ] || make_certificate node "serverAuth, clientAuth"
    [ -e "$folder/client.pem" ] || make_certificate client "clientAuth"
fi

set_to() {
    printf 'export DASK_DISTRIBUTED__COMM__%s=%q\n' "$1" "$2"
}

# use ROLE NAME: the variables of a role, if its key is here
use() {
    [ -e "$folder/$2.key" ] || return 0
    set_to "TLS__$1__CERT" "$folder/$2.pem"
    set_to "TLS__$1__KEY" "$folder/$2.key"
}

set_to REQUIRE_ENCRYPTION true
set_to TLS__CA_FILE "$folder/ca.pem"
use SCHEDULER node
use WORKER node
use CLIENT client
