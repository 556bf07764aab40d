# SPDX-License-Identifier: GPL-2.0
# Sourced after lib.sh by the scripts that take packages from the machine's Debian
# mirror: an apt with sources, lists and cache of its own, kept in $APT.
# shellcheck shell=bash

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# apt with the machine's configuration.
machine_apt()
{
	"$@"
}

# apt with sources, lists and cache of its own.
private_apt()
{
	local sandbox=()

	# apt's download user cannot write below build/.
	[ "$(id -u)" = 0 ] && sandbox=(-o APT::Sandbox::User=root)
	"$1" -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$APT/sources" \
		-o Dir::State="$APT/state" -o Dir::State::Lists="$APT/state/lists" \
		-o Dir::State::status="$APT/state/status" -o Dir::Cache="$APT/cache" \
		"${sandbox[@]}" "${@:2}"
}

# The Debian mirror of this machine's own release, whatever it is called.
mirror()
{
	local codename

	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
	# shellcheck disable=SC2016  # apt's variables
	apt-get indextargets --format '$(RELEASE) $(SITE)' 'Created-By: Packages' |
		awk -v c="$codename" '$1 == c && $2 ~ /debian\/?$/ { print $2; exit }'
}

# prepare_private_apt deb|deb-src SUITE...: have the lists of these suites
prepare_private_apt()
{
	local types=$1 site

	shift
	site=$(mirror)
	[ -n "$site" ] || die "apt's configuration names no Debian mirror"
	[ -f "$KEYRING" ] || die "$KEYRING is missing: install debian-archive-keyring"
	rm -rf "$APT/sources"
	mkdir -p "$APT/sources" "$APT/state/lists/partial" "$APT/cache/archives/partial"
	: >"$APT/state/status"
	printf '%s\n' "Types: $types" "URIs: $site" "Suites: $*" "Components: main" \
		"Signed-By: $KEYRING" >"$APT/sources/suites.sources"
	say "reading the lists of $* from $site"
	private_apt apt-get -qq update >&2
}
