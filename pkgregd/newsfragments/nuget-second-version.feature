The second version of NuGet's protocol is spoken beside the third, for clients that know no other: nuget with an old source,
Chocolatey, PowerShellGet.
