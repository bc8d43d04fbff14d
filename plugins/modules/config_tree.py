#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: config_tree
short_description: Render, validate and swap in whole configuration trees
version_added: "0.1.0"
author: the airworthy.stack maintainers (@airworthy)
description:
  - Makes directories of a server equal to directories under a role's C(templates/), in one module execution.
  - Files ending in C(.j2) are rendered, with M(ansible.builtin.template)'s rules, and lose that ending.
    All other files are copied byte for byte.
  - All trees of a task are one transaction. Everything is rendered and staged, every O(validate) runs, and only then is
    anything swapped. When any of it fails, nothing has changed. When the machine stops in between, the next execution
    takes the swap back before it does anything else.
  - Files that the tree does not hold stay as they are, unless O(prune) names them.
options:
  trees:
    description:
      - The trees of the transaction. What is set on the task itself is the default of all its trees.
      - Without it, the task itself is the one tree.
    type: list
    elements: dict
    suboptions: &tree
      src:
        description:
          - A directory under the role's C(templates/), or an absolute path on the controller.
          - What Python and mypy leave there (C(__pycache__), C(.mypy_cache)) is no part of it.
        type: str
        required: true
      dest:
        description:
          - The directory on the server, as an absolute path. It is made when it is missing, and so are those above it.
          - It must not be a symbolic link.
        type: str
        required: true
      owner:
        description: Who owns files and directories. The default is the user as whom the module runs.
        type: str
      group:
        description: The group of files and directories. The default is that of the user as whom the module runs.
        type: str
      mode:
        description: Mode of the files, octal, with a leading zero and in quotes.
        type: str
        default: "0644"
      directory_mode:
        description:
          - Mode of the directories, likewise.
          - With O(trees[].swap=files), directories that are there already keep theirs, and their owner, since they are
            shared.
        type: str
        default: "0755"
      no_diff:
        description:
          - Never show the content of the files.
          - Files that not everybody may read, and those encrypted with Ansible Vault, are never shown anyway.
        type: bool
        default: false
      files:
        description: Exceptions for single files.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: The file, relative to O(trees[].dest).
            type: str
            required: true
          owner:
            description: Its owner.
            type: str
          group:
            description: Its group.
            type: str
          mode:
            description: Its mode.
            type: str
          no_diff:
            description: Whether its content is kept out of diffs.
            type: bool
      prune:
        description:
          - Patterns, relative to O(trees[].dest). What matches and is not in the tree is removed.
          - V(*) stays within one directory and does not match hidden names; V(**) is any number of directories.
          - The last five generations of what was removed are kept under C(/var/lib/airworthy/config_tree/pruned).
        type: list
        elements: str
        default: []
      validate:
        description:
          - A command that must succeed before anything is swapped. It is not run by a shell. V(%s) is the directory in
            which the complete tree is staged.
          - Where mount namespaces are allowed, as on any ordinary server, it sees all staged trees of the task at their
            final paths too, so that files that include each other by absolute paths are validated together.
            A command without V(%s) relies on that, and is an error where it is not so, or O(trees[].dest) is new.
          - It runs only when the tree changes, in check mode too; there it is skipped where the command is missing.
        type: str
      swap:
        description:
          - V(directory) exchanges the whole directory in one atomic step. Where that is impossible (a mount point, some
            layers of overlayfs), the files are swapped one by one.
          - V(files) swaps file by file, for directories that are shared. Several trees of a task may then have the same
            O(trees[].dest), each with files of its own.
        type: str
        choices: [directory, files]
        default: directory
  src:
    description: See O(trees[].src).
    type: str
  dest:
    description: See O(trees[].dest).
    type: str
  owner:
    description: See O(trees[].owner).
    type: str
  group:
    description: See O(trees[].group).
    type: str
  mode:
    description: See O(trees[].mode).
    type: str
    default: "0644"
  directory_mode:
    description: See O(trees[].directory_mode).
    type: str
    default: "0755"
  no_diff:
    description: See O(trees[].no_diff).
    type: bool
    default: false
  files:
    description: See O(trees[].files).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: See O(trees[].files[].path).
        type: str
        required: true
      owner:
        description: See O(trees[].files[].owner).
        type: str
      group:
        description: See O(trees[].files[].group).
        type: str
      mode:
        description: See O(trees[].files[].mode).
        type: str
      no_diff:
        description: See O(trees[].files[].no_diff).
        type: bool
  prune:
    description: See O(trees[].prune).
    type: list
    elements: str
    default: []
  validate:
    description: See O(trees[].validate).
    type: str
  swap:
    description: See O(trees[].swap).
    type: str
    choices: [directory, files]
    default: directory
  variables:
    description: More variables for the templates, on top of those of the task. They stay on the controller.
    type: dict
  _payload:
    description: The rendered files. The action plugin fills it in; tasks do not.
    type: str
notes:
  - Root is needed for the lock, the journal and what was pruned, which lie in C(/var/lib/airworthy/config_tree).
attributes:
  check_mode:
    support: full
    description: Says what would change, validates it in a temporary directory, and changes nothing.
  diff_mode:
    support: full
    description: Shows each file under its absolute path; secret and binary content is only mentioned.
"""

EXAMPLES = r"""
- name: Configure nginx
  airworthy.stack.config_tree:
    src: etc/nginx
    dest: /etc/nginx
    owner: root
    group: root
    files:
      - {path: conf.d/upstreams.conf, mode: "0640", no_diff: true}
    prune: ["sites-enabled/*", "conf.d/*.conf"]
    validate: nginx -t -c %s/nginx.conf
  notify: Reload nginx

- name: Configure the firewall and the service that it lets in, together or not at all
  airworthy.stack.config_tree:
    owner: root
    group: root
    trees:
      - {src: etc/app, dest: /etc/app, mode: "0640"}
      - {src: etc/nftables.d, dest: /etc/nftables.d, swap: files}
"""

RETURN = r"""
paths:
  description: Every path that was created, changed, removed or got another mode or owner, sorted.
  returned: success
  type: list
  elements: str
  sample: [/etc/nginx/conf.d/site.conf, /etc/nginx/sites-enabled/default]
removed:
  description: Those of RV(paths) that were pruned.
  returned: success
  type: list
  elements: str
  sample: [/etc/nginx/sites-enabled/default]
kept_in:
  description: The directory in which the pruned files are kept.
  returned: when something was pruned
  type: str
  sample: /var/lib/airworthy/config_tree/pruned/20260131T120000.000000Z-3f2a91c0
notes:
  description: What was left out in check mode, and why.
  returned: when there is something to say
  type: list
  elements: str
  sample: ["validation of /etc/nginx skipped: nginx is not installed"]
"""

import grp
import os
import pwd
import shlex
import tempfile
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree import (
    TreeError,
    check_options,
    tree_options,
    unpack,
)
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree_plan import (
    UNKNOWN,
    Plan,
    Tree,
    diffs,
    join_shared,
    judge,
    observe,
    refuse_overlaps,
    wanted,
)
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree_stage import Stage
from ansible_collections.airworthy.stack.plugins.module_utils.config_tree_swap import Stages, State, Validate, apply

MOUNT_AND_RUN = """
while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit; shift 2; done
shift
exec "$@"
"""


class Host:
    """What the server says about names and commands; in check mode both may come only later in the same run."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.notes: list[str] = []

    def uid(self, name: str) -> int:
        return self._id(lambda: pwd.getpwnam(name).pw_uid, f"owner {name!r}")

    def gid(self, name: str) -> int:
        return self._id(lambda: grp.getgrnam(name).gr_gid, f"group {name!r}")

    def _id(self, find: Callable[[], int], what: str) -> int:
        try:
            return find()
        except KeyError:
            if not self.module.check_mode:
                raise TreeError(f"{what} does not exist on this host; create it first") from None
            self._note(f"{what} does not exist yet")
            return UNKNOWN

    def validate(self, tree: Tree, stages: Stages) -> None:
        for words in tree.validate:
            self._run_validator(words, tree, stages)

    def _run_validator(self, words: tuple[str, ...], tree: Tree, stages: Stages) -> None:
        staged = stages[tree.dest]
        program = self.module.get_bin_path(words[0])
        if program is None:
            self._cannot_validate(tree, f"{words[0]} is not installed")
            return
        command = [program, *(word.replace("%s", staged) for word in words[1:])]
        world = self._as_if_live(stages)
        if "%s" not in " ".join(words) and tree.dest not in world:
            why = "mount namespaces are not allowed here" if os.path.isdir(tree.dest) else "it does not exist yet"
            self._cannot_validate(tree, f"without %s, {tree.dest} itself is validated, but {why}; add %s")
            return
        code, out, err = self.module.run_command([*world, *command])
        if code != 0:
            said = "\n".join(text.strip() for text in (err, out) if text.strip())
            raise TreeError(
                f"{tree.dest} is not valid, and nothing was changed: '{shlex.join(words)}' returned {code} and "
                f"said:\n{said.replace(staged, tree.dest)}"
            )

    def _cannot_validate(self, tree: Tree, why: str) -> None:
        if not self.module.check_mode:
            raise TreeError(f"{tree.dest} cannot be validated, and nothing was changed: {why}")
        self._note(f"validation of {tree.dest} skipped: {why}")

    def _as_if_live(self, stages: Stages) -> list[str]:
        """A prefix that runs a command in a world of its own, in which the staged trees are live already.

        So configuration that includes other files by their final path is validated as a whole.
        """
        prefix = ["unshare", "--mount", "sh", "-c", MOUNT_AND_RUN, "sh"]
        for dest in sorted(stages):
            if os.path.isdir(dest):
                prefix += [stages[dest], dest]
        prefix.append("--")
        code, _out, _err = self.module.run_command([*prefix, "true"])
        return prefix if code == 0 else []  # a container, or a user, may not mount

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def rehearse(plans: list[Plan], validate: Validate) -> None:
    """Validate in a copy, so that check mode leaves the live directories alone."""
    if not any(plan.tree.validate for plan in plans):
        return
    with tempfile.TemporaryDirectory(prefix="airworthy-") as directory:
        os.chmod(directory, 0o711)  # noqa: S103  for validators that give up root
        stage = Stage()
        stages = {plan.tree.dest: f"{directory}/{number}" for number, plan in enumerate(plans)}
        for plan in plans:
            stage.complete(plan, stages[plan.tree.dest], copying=True)
        stage.seal()
        for plan in plans:
            if plan.tree.validate:
                validate(plan.tree, stages)


def plan(trees: list[Tree]) -> list[Plan]:
    """The plans of those trees that are not as wanted."""
    return [plan for plan in (judge(tree, observe(tree)) for tree in trees) if plan.changes]


def converge(trees: list[Tree], host: Host, state: State) -> tuple[list[Plan], str]:
    """Make the trees true, or say what that would change."""
    if host.module.check_mode:
        plans = plan(trees)
        rehearse(plans, host.validate)
        return plans, ""
    with state.locked():
        if state.recover():
            host.module.warn("An earlier run was interrupted while it swapped configuration; it was settled first.")
        plans = plan(trees)
        return plans, apply(plans, state, host.validate, host.module.warn) if plans else ""


def main(state: State | None = None) -> None:
    options = tree_options(required=False)
    module = AnsibleModule(
        argument_spec={
            **options,
            "trees": {"type": "list", "elements": "dict", "options": tree_options(required=True)},
            "variables": {"type": "dict"},
            "_payload": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    if module.params["_payload"] is None:
        module.fail_json(msg="config_tree renders on the controller; run it as a task, by its full name")
    host = Host(module)
    try:
        trees = []
        for tree, rendered in zip(module.params["trees"], unpack(module.params["_payload"]), strict=True):
            check_options(tree)
            trees.append(wanted(tree, rendered, host.uid, host.gid))
        trees = join_shared(trees)
        refuse_overlaps(trees)
        plans, kept_in = converge(trees, host, state or State())
    except TreeError as error:
        module.fail_json(msg=str(error))
    except OSError as error:  # before anything was staged; from then on it is a TreeError
        module.fail_json(msg=f"{error}; nothing was changed")

    changes = [change for plan in plans for change in plan.changes]
    result: dict[str, Any] = {
        "changed": bool(changes),
        "paths": sorted(change.path for change in changes),
        "removed": sorted(change.path for change in changes if change.after is None),
    }
    if kept_in:
        result["kept_in"] = kept_in
    if host.notes:
        result["notes"] = host.notes
    if module._diff:
        result["diff"] = [diff for change in changes for diff in diffs(change)]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
