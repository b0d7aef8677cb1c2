// Package register stands in for upstream's list of all generators.
package register

import _ "github.com/external-secrets/external-secrets/pkg/generator/fake"
