# Sourced by scripts that install Debian packages for the tests.

# install_packages SCRIPT PACKAGE... : needs root; says what to do without it.
install_packages() {
  local script=$1
  shift
  if [ "$(id -u)" -ne 0 ]; then
    echo "$script: run as root, or have these packages installed: $*" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
}
