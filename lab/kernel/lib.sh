# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the scripts of this folder, which run in the toolbox.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

SERIES=$TOP/series/$BASE
# shellcheck disable=SC2034 # for the scripts that source this
TREE=$OUT/linux

[ -r "$SERIES/base" ] || die "there is no series for BASE=$BASE" \
	"there is: $(cd "$TOP/series" && echo *)"

# The topics, in the order in which they apply.
topics() { find "$SERIES" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort; }

# previous TOPIC: the one that it goes on top of, or the base.
previous() { (echo base && topics) | grep -x -B 1 "$1" | head -n 1; }

# The patches of a topic without its cover letter, as the series lists them: each is
# in the topic's folder or, where the text serves both, in that of a newer base.
patches() {
	[ ! -e "$SERIES/series" ] || sed -n "/^# $1:/,/^# /s,^[^#],$SERIES/&,p" "$SERIES/series"
}

# What the kernel of this base does not have of the fragments *.config.
base_config() { [ ! -e "$SERIES/config" ] || echo "$SERIES/config"; }

# format_patch TOPIC COVER-TEXT OPTION... RANGE: git format-patch as series/ and the
# mails have it.
FORMAT=(-q --zero-commit --full-index --no-signature --stat=75)
format_patch() {
	local rfc
	rfc=$(sed -n "s/^# $1: RFC.*/--rfc/p" "$SERIES/series")
	git format-patch "${FORMAT[@]}" ${rfc:+"$rfc"} --cover-letter --description-file="$2" \
		--cover-from-description=subject "${@:3}"
}

# worktree DIR COMMIT: another checkout of the tree, at that commit.
worktree() {
	if [ -e "$1/.git" ] && git -C "$1" rev-parse -q --verify HEAD >/dev/null 2>&1; then
		git -C "$1" checkout -q -f --detach "$(git -C "$TREE" rev-parse "$2")"
	else
		rm -rf "$1"
		git -C "$TREE" worktree prune
		git -C "$TREE" worktree add -q --detach "$1" "$2"
	fi
}

# The tests of the series that are part of a kernel, and folders for kunit.py.
TESTS=(drivers/pci/tests drivers/infiniband/core/tests)

# state DIR NAME: a checkout of the tree at the base, a topic or HEAD; NAME+tests
# has the series' tests on top, but for those of what cannot be called there.
state() {
	local commit=${2%+tests}
	worktree "$1" "$commit"
	[ "$commit" = "$2" ] || git -C "$1" cherry-pick \
		$(git -C "$TREE" rev-list --reverse --invert-grep --grep='KUnit tests of revocation' \
			"$commit..HEAD" -- "${TESTS[@]}")
}

# recipe BASE-COMMIT: what a tree is made from; it is made again when this changes.
recipe() {
	echo "$1"
	for t in $(topics); do patches "$t"; done | xargs -r cat | sha256sum
}

# A fixed identity and no configuration of the host: the same base gives the
# same commits everywhere.
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME='P2PDMA RDMA developers' GIT_AUTHOR_EMAIL=p2p-rdma@example.com
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
