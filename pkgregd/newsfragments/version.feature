`GET /version` and `GET /metadata` tell which version of pkgregd answers. `packages_enabled` and `package_registry_access_level` of a project are not ignored
any more: what would change something is refused with the address of the settings.
