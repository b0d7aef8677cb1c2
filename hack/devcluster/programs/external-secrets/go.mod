// The last release that is one module: of later ones the registry has the root module only, and not apis and the
// others that it needs.
module bulkhead.dev/devcluster/programs/external-secrets

go 1.26.0

require github.com/external-secrets/external-secrets v0.20.4
