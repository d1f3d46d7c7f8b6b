# The environment variables: those of the originals, BAIKONUR_MODULE, the settings as BAIKONUR_<KEY>, and the user's own.

locals {
  # A scalar stands as it is; a list or a table is JSON.
  settings = {
    for key, value in var.settings : "BAIKONUR_${upper(key)}" => try(tostring(value), jsonencode(value))
    if value != null
  }

  # Each value is hidden by itself, so that a plan shows the others.
  secret_settings = {
    for key in nonsensitive(keys(var.secret_settings)) : "BAIKONUR_${upper(key)}" => sensitive(var.secret_settings[key])
  }

  # Everything that may be shown. Of two of a name the later one counts.
  plain_environment = tomap(merge(
    var.environment,
    var.module_environment,
    local.settings,
    { BAIKONUR_MODULE = var.module },
  ))
  environment = merge(local.plain_environment, local.secret_settings)

  # Terraform before 1.8 refuses nonsensitive() on what is not sensitive.
  environment_bytes = nonsensitive(sensitive(sum([for key, value in local.environment : length(key) + length(value)])))
}
