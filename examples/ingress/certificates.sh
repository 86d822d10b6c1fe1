#!/bin/sh
# Two CAs to be thrown away: one that browsers know, one of a partner. Makes certs/ beside this file.
set -e
cd "$(dirname "$0")"
mkdir -p certs
cd certs
ca() { # NAME
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" \
    -addext basicConstraints=critical,CA:true -keyout "$1-ca.key" -out "$1-ca.pem" 2>/dev/null
}
leaf() { # CA NAME SUBJECT-ALTERNATIVE-NAMES
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "$2.key" -out "$2.csr" 2>/dev/null
  printf 'subjectAltName=%s\n' "$3" >"$2.ext"
  openssl x509 -req -in "$2.csr" -CA "$1-ca.pem" -CAkey "$1-ca.key" -CAcreateserial -days 20 -extfile "$2.ext" \
    -out "$2.pem" 2>/dev/null
  rm "$2.csr" "$2.ext"
}
ca public
ca partner
leaf public shop DNS:shop.example.com,DNS:till.example.com
leaf partner till DNS:till.partner.example
chmod 600 ./*.key
