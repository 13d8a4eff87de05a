#!/usr/bin/env bash
# Makes the certificates that tests and demos use. Not for production: keys have no passphrase.
#
#   tools/gen-test-certs.sh [DIR]        default tests/tls; does nothing when they are there already
#
#   ca.crt ca.key                        the authority; everything below is signed by it
#   server.crt server.key                servers only (EC), for localhost, 127.0.0.1 and ::1
#   client.crt client.key                clients only (EC), CN wherry-client
#   wherry.crt wherry.key                both roles (EC), same names as server
#   rsa.crt rsa.key                      both roles (RSA 2048), for RSA cipher suites
#   server.enc.key                       server.key behind the passphrase 1234
#   expired.crt expired.key              both roles, ended in 2001
#   wrong-ca.crt wrong-ca.key            an authority that nobody should trust...
#   wrong-server.* wrong-client.*        ...and what it signed
#   wherry.dh                            DH parameters (the group ffdhe2048)
set -euo pipefail
export LC_ALL=C
dir=${1:-$(dirname "$0")/../tests/tls}
[ -e "$dir/wherry.dh" ] && exit 0 # written last

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
exec 9> "$dir/.lock"
flock 9 # tests that start together make one set
[ -e "$dir/wherry.dh" ] && exit 0
work=$(mktemp -d "$dir/.making.XXXXXX")
trap 'code=$?; [ $code = 0 ] || cat "$work/log" >&3; rm -rf "$work"; exit $code' EXIT
exec 3>&2 2> "$work/log"
cd "$work"

printf '[req]\ndistinguished_name=dn\n[dn]\n' > req.cnf
names='subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'
use='keyUsage=digitalSignature,keyEncipherment'
ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256)

authority() { # name, CN
  openssl req -config req.cnf -x509 -nodes "${ec[@]}" -days 3650 -keyout "$1.key" -out "$1.crt" \
    -subj "/O=wherry test/CN=$2" -addext basicConstraints=critical,CA:true \
    -addext keyUsage=critical,keyCertSign,cRLSign
}

leaf() { # name, authority, CN, extension...
  local name=$1 ca=$2 cn=$3 ext=()
  shift 3
  for e in basicConstraints=CA:false "$use" "$@"; do ext+=(-addext "$e"); done
  openssl req -config req.cnf -x509 -nodes "${key[@]}" -days 3650 -keyout "$name.key" \
    -out "$name.crt" -CA "$ca.crt" -CAkey "$ca.key" -subj "/O=wherry test/CN=$cn" "${ext[@]}"
}

authority ca 'wherry test CA'
authority wrong-ca 'wherry wrong CA'
key=("${ec[@]}")
leaf server ca localhost "$names" extendedKeyUsage=serverAuth nsCertType=server
leaf client ca wherry-client extendedKeyUsage=clientAuth nsCertType=client
leaf wherry ca wherry "$names"
leaf wrong-server wrong-ca localhost "$names"
leaf wrong-client wrong-ca wherry-client
key=(-newkey rsa:2048)
leaf rsa ca wherry-rsa "$names"
openssl pkey -in server.key -aes256 -passout pass:1234 -out server.enc.key

# Only `openssl ca` can give a certificate dates in the past.
openssl req -config req.cnf -new -nodes "${ec[@]}" -keyout expired.key -out expired.csr \
  -subj '/O=wherry test/CN=wherry-expired'
cat > ca.cnf <<END
[ca]
default_ca=d
[d]
database=index
serial=serial
new_certs_dir=.
default_md=sha256
policy=p
x509_extensions=x
unique_subject=no
[p]
organizationName=supplied
commonName=supplied
[x]
basicConstraints=CA:false
$use
$names
END
: > index
echo 1000 > serial
openssl ca -batch -notext -config ca.cnf -cert ca.crt -keyfile ca.key -in expired.csr \
  -startdate 20000101000000Z -enddate 20010101000000Z -out expired.crt > /dev/null

openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out wherry.dh
chmod 644 ./*.crt wherry.dh
chmod 640 ./*.key
for f in ca wrong-ca server client wherry wrong-server wrong-client rsa expired; do
  mv "$f.crt" "$f.key" ..
done
mv server.enc.key ..
mv wherry.dh ..
