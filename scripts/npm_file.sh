# Sourced by scripts that need a file of a package from npm.

# npm_file SCRIPT PACKAGE VERSION INTEGRITY FILE TARGET: needs npm and openssl; a package of another content is refused.
npm_file() {
  local script=$1 package=$2 version=$3 integrity=$4 file=$5 target=$6 folder archive found
  folder=$(mktemp -d)
  (cd "$folder" && npm pack --silent "$package@$version" >/dev/null)
  archive=$(echo "$folder"/*.tgz)
  found="sha512-$(openssl dgst -sha512 -binary "$archive" | openssl base64 -A)"
  if [ "$found" != "$integrity" ]; then
    rm -rf "$folder"
    echo "$script: $package $version is $found, not $integrity: nothing is changed" >&2
    exit 1
  fi
  tar -xzf "$archive" -C "$folder" "package/$file"
  mkdir -p "$(dirname "$target")"
  install -m 644 "$folder/package/$file" "$target"
  rm -rf "$folder"
}
