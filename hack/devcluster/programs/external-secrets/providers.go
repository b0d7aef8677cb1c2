// Package register stands in for upstream's list of all providers, whose
// clients would be most of the program.
package register

import _ "github.com/external-secrets/external-secrets/pkg/provider/fake"
