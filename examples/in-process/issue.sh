#!/bin/sh
# A key and a certificate for NAME, in every form that the programs here read; again: the next certificate.
#   sh issue.sh FOLDER NAME [CA]
# CA is a folder with the CA's key, made when it is not there: `ca` beside FOLDER. handsel must be on the path.
set -eu
folder=$1 name=$2 ca=${3:-$(dirname "$1")/ca} here=$(dirname "$0")
umask 077
mkdir -p "$folder" "$ca"

if [ ! -e "$ca/root.pem" ]; then
  handsel cert create "Root of $(basename "$ca")" --ca --self-signed --lifetime 365d --out "$ca/root.pem"
fi
if [ ! -e "$folder/truststore.p12" ]; then
  openssl x509 -in "$ca/root.pem" -out "$folder/roots.pem" # the certificate only: the key stays with the CA
  openssl rand -hex 16 > "$folder/password"
  cp "$here/python/handsel.yaml" "$folder"
  handsel cert store create "$folder/truststore.p12" --trust "$folder/roots.pem" --password-file "$folder/password"
fi

# Both replace their file in one step: no program ever reads half of one, or a key with another's certificate.
handsel cert create "$name" --issuer "$ca/root.pem" --out "$folder/identity.pem" --force
handsel cert store create "$folder/keystore.p12" --key "$folder/identity.pem" --password-file "$folder/password" --force
