"""`user add`, `group add`, `project add`, `member add`."""

from __future__ import annotations

from argparse import Namespace

from pkgregd.commands.instance import Instance, Outcome


async def add_user(instance: Instance, arguments: Namespace) -> Outcome:
    """Add a user; answers the id."""
    user_id = await instance.catalog.add_user(arguments.name, is_admin=arguments.admin, principal=instance.operator)
    return Outcome(str(user_id), {"id": user_id, "name": arguments.name, "is_admin": arguments.admin})


async def add_group(instance: Instance, arguments: Namespace) -> Outcome:
    """Add a group; answers the id."""
    group_id = await instance.catalog.add_group(arguments.path, arguments.visibility, instance.operator)
    return _added(group_id, arguments)


async def add_project(instance: Instance, arguments: Namespace) -> Outcome:
    """Add a project; answers the id."""
    project_id = await instance.catalog.add_project(arguments.path, arguments.visibility, instance.operator)
    return _added(project_id, arguments)


def _added(row_id: int, arguments: Namespace) -> Outcome:
    data = {"id": row_id, "path": arguments.path, "visibility": arguments.visibility.value}
    return Outcome(str(row_id), data)


async def add_member(instance: Instance, arguments: Namespace) -> Outcome:
    """Give a user a role in a group or project, instead of an earlier one."""
    await instance.catalog.set_member(arguments.user, arguments.path, arguments.role, instance.operator)
    role = arguments.role.name.lower()
    return Outcome(
        f"{arguments.user} is {role} in {arguments.path}",
        {"user": arguments.user, "path": arguments.path, "role": role},
    )
