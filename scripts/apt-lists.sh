# Sourced by scripts that take a package out of a distribution without changing what the machine has installed or is set to.

# apt_lists FOLDER KIND SUITE...: from here on apt-get and apt-cache see the packages (KIND deb) or sources (deb-src) of these suites of
# Debian alone, from the mirror that the machine is set to, with lists and cache in FOLDER. Suites that are not there fail.
apt_lists() {
  local folder=$1 kind=$2 keys=/usr/share/keyrings/debian-archive-keyring.gpg mirror suite
  shift 2
  command -v apt-get >/dev/null 2>&1 || { echo "this needs apt-get" >&2; return 1; }
  unset APT_CONFIG
  mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | grep '/debian/*$' | head -n 1)
  [ -n "$mirror" ] && [ -e "$keys" ] || { echo "no mirror of Debian among the sources of apt" >&2; return 1; }
  mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
  for suite in "$@"; do printf '%s [signed-by=%s] %s %s main\n' "$kind" "$keys" "$mirror" "$suite"; done >"$folder/sources.list"
  cat >"$folder/apt.conf" <<CONF
Dir::Etc::SourceList "$folder/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State "$folder";
Dir::State::Lists "$folder/lists";
Dir::State::Status "$folder/status";
Dir::Cache "$folder/cache";
APT::Sandbox::User "$(id -un)";
CONF
  : >"$folder/status"
  export APT_CONFIG=$folder/apt.conf
  apt-get update -qq >&2
}
