"""
The seams of the house: every zope interface, and the contract of each.

Implementations say `@implementer`; a test runs `verifyClass` over all of them.
Unless a docstring says otherwise every method is called on the reactor thread,
and cancelling an awaited call abandons the wait and releases what it held.
"""

from pkgregd.interfaces.access import (
    IAccessPolicy,
    IAccount,
    IAccounts,
    IAuthenticator,
    IDueTimes,
    IIdTokenExchange,
    IRateLimiter,
    IRequestLimits,
    ITokenUses,
)
from pkgregd.interfaces.administration import IDirectories, IDirectory, IInventories, IInventory, ITokenDesk
from pkgregd.interfaces.audit import IAuditCatalog, ITrail
from pkgregd.interfaces.blobs import IBlobSink, IBlobSource, IBlobStore, IKernelConsumer
from pkgregd.interfaces.calls import IAuthorisedCall, ICall, IRequestBody
from pkgregd.interfaces.catalog import ICatalog, IReads
from pkgregd.interfaces.formats import IBuildFormat, IPackageFormat, IReplacingFormat, IRouteTable, IStrictTable
from pkgregd.interfaces.identity_catalog import KEPT_JOB_SECONDS, IDirectoryCatalog, IIdentityCatalog, ISignInCatalog
from pkgregd.interfaces.measures import IMeasures, IMetrics
from pkgregd.interfaces.package_catalog import IBlobCatalog, IInventoryCatalog, IPackageCatalog
from pkgregd.interfaces.packages import (
    MAX_BRANCH,
    WITHDRAWAL_SECONDS,
    IDraft,
    IEventSink,
    IInspections,
    Inspector,
    IRemote,
    IRemotes,
)
from pkgregd.interfaces.place_settings import IPlaceSettings
from pkgregd.interfaces.protection_catalog import MAX_RULES, IProtectionCatalog
from pkgregd.interfaces.settings_catalog import LEASE_SECONDS, ISettingsCatalog, IUsageCatalog
from pkgregd.interfaces.task_catalog import MAX_ERROR_CHARACTERS, MAX_TASK_ATTEMPTS, ITaskCatalog
from pkgregd.interfaces.upkeep_catalog import SCRUB_LEASE_SECONDS, STALE_SECONDS, IUpkeepCatalog

__all__ = [
    "KEPT_JOB_SECONDS",
    "LEASE_SECONDS",
    "MAX_BRANCH",
    "MAX_ERROR_CHARACTERS",
    "MAX_RULES",
    "MAX_TASK_ATTEMPTS",
    "SCRUB_LEASE_SECONDS",
    "STALE_SECONDS",
    "WITHDRAWAL_SECONDS",
    "IAccessPolicy",
    "IAccount",
    "IAccounts",
    "IAuditCatalog",
    "IAuthenticator",
    "IAuthorisedCall",
    "IBlobCatalog",
    "IBlobSink",
    "IBlobSource",
    "IBlobStore",
    "IBuildFormat",
    "ICall",
    "ICatalog",
    "IDirectories",
    "IDirectory",
    "IDirectoryCatalog",
    "IDraft",
    "IDueTimes",
    "IEventSink",
    "IIdTokenExchange",
    "IIdentityCatalog",
    "IInspections",
    "IInventories",
    "IInventory",
    "IInventoryCatalog",
    "IKernelConsumer",
    "IMeasures",
    "IMetrics",
    "IPackageCatalog",
    "IPackageFormat",
    "IPlaceSettings",
    "IProtectionCatalog",
    "IRateLimiter",
    "IReads",
    "IRemote",
    "IRemotes",
    "IReplacingFormat",
    "IRequestBody",
    "IRequestLimits",
    "IRouteTable",
    "ISettingsCatalog",
    "ISignInCatalog",
    "IStrictTable",
    "ITaskCatalog",
    "ITokenDesk",
    "ITokenUses",
    "ITrail",
    "IUpkeepCatalog",
    "IUsageCatalog",
    "Inspector",
]
