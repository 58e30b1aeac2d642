#!/bin/sh
# Makes what docker-compose.yml reads: passwords, a master key, and certificates for Temporal, each readable by the one
# service that needs it. It needs openssl, and refuses to touch what is there. Keep a copy of the master key elsewhere:
# without it nothing that is personal can ever be read again.
set -eu

folder=${1:-$(dirname "$0")/secrets}
days=${DAYS:-825}

if [ -e "$folder" ]; then
  echo "$folder is there already; nothing was changed" >&2
  exit 1
fi
umask 077
mkdir -p "$folder"
made=$(mktemp -d "$folder/.making.XXXXXX")
trap 'rm -rf "$made"' EXIT
for service in postgres temporal client termins; do mkdir "$made/$service"; done

password() { openssl rand -hex 24; }
postgres=$(password) store=$(password) keys=$(password) temporal=$(password)

printf '%s' "$postgres" >"$made/postgres/postgres_password"
printf '%s' "$store" >"$made/postgres/termins_password"
printf '%s' "$keys" >"$made/postgres/termins_keys_password"
printf '%s' "$temporal" >"$made/postgres/temporal_password"
printf '%s' "$temporal" >"$made/temporal/temporal_password"
printf 'postgresql://termins:%s@postgres:5432/termins' "$store" >"$made/termins/DATABASE_URL"
printf 'postgresql://termins_keys:%s@postgres:5432/termins_keys' "$keys" >"$made/termins/TERMINS_KEYS_DATABASE_URL"
printf 'm-%s:%s' "$(openssl rand -hex 4)" "$(openssl rand -base64 32 | tr '+/' '-_')" >"$made/termins/TERMINS_MASTER_KEY"

authority="$made/authority"
mkdir "$authority"
openssl ecparam -genkey -name prime256v1 -noout -out "$authority/ca.key"
openssl req -x509 -new -sha256 -days 3650 -subj "/CN=Termins" -key "$authority/ca.key" -out "$authority/ca.pem"

certificate() { # name, purpose
  openssl ecparam -genkey -name prime256v1 -noout -out "$authority/$1.key"
  openssl req -new -sha256 -subj "/CN=$1" -key "$authority/$1.key" -out "$authority/$1.csr"
  printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=%s\n' "$1" "$2" >"$authority/$1.ext"
  openssl x509 -req -sha256 -days "$days" -in "$authority/$1.csr" -CA "$authority/ca.pem" -CAkey "$authority/ca.key" \
    -CAcreateserial -extfile "$authority/$1.ext" -out "$authority/$1.pem" 2>/dev/null
}
# one server is a client of itself: its parts call each other with this certificate
certificate temporal serverAuth,clientAuth
certificate client clientAuth

cp "$authority/temporal.pem" "$made/temporal/server.pem"
cp "$authority/temporal.key" "$made/temporal/server.key"
for service in temporal client termins; do cp "$authority/ca.pem" "$made/$service/ca.pem"; done
for service in client termins; do cp "$authority/client.pem" "$authority/client.key" "$made/$service/"; done
mkdir "$made/authority.kept"
cp "$authority/ca.pem" "$authority/ca.key" "$made/authority.kept/"

# the services run under users of their own; who may walk into the folder is up to its mode, which is its owner's alone
chmod -R a+rX "$made/postgres" "$made/temporal" "$made/client" "$made/termins"
rm -r "$authority"
mv "$made/authority.kept" "$folder/authority"
for service in postgres temporal client termins; do mv "$made/$service" "$folder/$service"; done
echo "made $folder; take authority/ca.key and a copy of termins/TERMINS_MASTER_KEY to another place"
