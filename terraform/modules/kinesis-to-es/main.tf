# kinesis-to-es: documents into daily indices of Elasticsearch or OpenSearch.

locals {
  module     = "kinesis-to-es"
  stream_arn = var.kinesis_stream_arn

  failed_log = { bucket = var.failed_log_s3_bucket, prefix = var.failed_log_s3_prefix }

  environment = {
    ES_HOST           = var.elasticsearch_host
    INDEX_NAME_PREFIX = var.index_name_prefix
  }

  # A domain is asked for each HTTP method, a collection for all of them together.
  search_rights = {
    es   = { actions = ["es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPost", "es:ESHttpPut"], behind = "/*" }
    aoss = { actions = ["aoss:APIAccessAll"], behind = "" }
  }
  statements = [for arn in var.elasticsearch_arn[*] : {
    Sid      = "WriteDocuments"
    Effect   = "Allow"
    Action   = local.search_rights[split(":", arn)[2]].actions
    Resource = "${arn}${local.search_rights[split(":", arn)[2]].behind}"
  }]
}
