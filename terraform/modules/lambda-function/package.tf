# Where the package is. Lambda itself takes a file or an object in S3; a URL is understood when it names an object in S3.

locals {
  package_url_patterns = [
    "^s3://(?P<bucket>[a-z0-9.-]+)/(?P<key>[^?]+)(?:[?]versionId=(?P<version>[^&]+))?$",
    "^https://s3[.-](?:[a-z0-9-]+[.])?amazonaws[.]com(?:[.]cn)?/(?P<bucket>[a-z0-9.-]+)/(?P<key>[^?]+)(?:[?]versionId=(?P<version>[^&]+))?$",
    "^https://(?P<bucket>[a-z0-9.-]+)[.]s3[.-](?:[a-z0-9-]+[.])?amazonaws[.]com(?:[.]cn)?/(?P<key>[^?]+)(?:[?]versionId=(?P<version>[^&]+))?$",
  ]
  package_url = try([
    for pattern in local.package_url_patterns : regex(pattern, var.lambda_package_url)
    if can(regex(pattern, var.lambda_package_url))
  ][0], { bucket = null, key = null, version = null })

  package_s3 = {
    bucket  = var.lambda_package_s3_bucket == null ? local.package_url.bucket : var.lambda_package_s3_bucket
    key     = var.lambda_package_s3_key == null ? local.package_url.key : var.lambda_package_s3_key
    version = var.lambda_package_s3_object_version == null ? local.package_url.version : var.lambda_package_s3_object_version
  }

  # What changes when the package does. For an object in S3 only the user can say it without a download.
  package_hash = var.lambda_package_file == null ? var.lambda_package_base64sha256 : filebase64sha256(var.lambda_package_file)

  package_places = length([
    for given in [
      var.lambda_package_file != null,
      var.lambda_package_url != null,
      var.lambda_package_s3_bucket != null || var.lambda_package_s3_key != null,
    ] : given if given
  ])
}
