// Runs cdk-nag's PCI pack over templates: node check.js FOLDER, each file of which is a template without parameters.
// Writes a JSON list of {file, resource, rule} to stdout.

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { App, Stack } = require("aws-cdk-lib");
const { CfnInclude } = require("aws-cdk-lib/cloudformation-include");
const { PCIDSS321Checks } = require("cdk-nag");

const PREFIX = "PCI.DSS.321-";
const folder = process.argv[2];
const found = [];
for (const file of fs.readdirSync(folder).sort()) {
  const app = new App();
  const stack = new Stack(app, "Layer");
  new CfnInclude(stack, "Template", { templateFile: path.join(folder, file) });
  // A rule that cannot judge a value is a violation, too, which has the rule's name as all others have.
  for (const violation of new PCIDSS321Checks(app).validateScope(app).violations) {
    for (const { constructPath } of violation.violatingResources) {
      found.push({ file, resource: path.posix.basename(constructPath), rule: violation.ruleName.replace(PREFIX, "") });
    }
  }
}
process.stdout.write(JSON.stringify(found));
