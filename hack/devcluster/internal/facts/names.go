package facts

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// placeholders are the names that vary per object, with the one concrete value
// that this cluster uses: it looks like an AWS installation with one default
// ingress controller, one catalog and one autoscaler.
var placeholders = map[string]string{
	"<platform>":          "aws",
	"<Platform>":          "AWS",
	"<provider>":          "a",
	"<driver>":            "aws-ebs",
	"<release>":           "5-0-0",
	"<ingresscontroller>": "default",
	"<name>":              "default",
	"<gateway>":           "example-gateway",
	"<dns-name>":          "default",
	"<ca-deployment>":     "cluster-autoscaler-default",
	"<ca-name>":           "default",
	"<catalog>":           "redhat-operators",
	"<hash>":              "0a1b2c3d",
}

var (
	placeholder = regexp.MustCompile(`<[^>]*>`)
	remark      = regexp.MustCompile(`\s*\([^)]*\)`)
)

// fill replaces every placeholder and fails on one that has no value.
func fill(text string) (string, error) {
	var unknown string
	filled := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		value, known := placeholders[found]
		if !known {
			unknown = found
		}
		return value
	})
	if unknown != "" {
		return "", fmt.Errorf("no value for the placeholder %s in %q", unknown, text)
	}
	return filled, nil
}

// objectName makes a valid object name: remarks in round brackets are dropped,
// placeholders filled, and words joined by hyphens.
func objectName(text string) (string, error) {
	name, err := fill(remark.ReplaceAllString(text, ""))
	if err != nil {
		return "", err
	}
	name = strings.ToLower(strings.Join(strings.Fields(name), "-"))
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return "", fmt.Errorf("%q gives the invalid name %q: %s", text, name, strings.Join(problems, "; "))
	}
	return name, nil
}

// labelValue fills placeholders and replaces a star by the name of the
// workload that carries the label.
func labelValue(text, workload string) (string, error) {
	value, err := fill(strings.ReplaceAll(text, "*", workload))
	if err != nil {
		return "", err
	}
	if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
		return "", fmt.Errorf("%q gives the invalid label value %q: %s", text, value, strings.Join(problems, "; "))
	}
	return value, nil
}
