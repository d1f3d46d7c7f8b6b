# kinesis-to-fluent: events to Fluentd or Fluent Bit over the Forward protocol.

locals {
  module     = "kinesis-to-fluent"
  stream_arn = var.kinesis_stream_arn

  failed_log = { bucket = var.failed_log_s3_bucket, prefix = var.failed_log_s3_prefix }

  environment = {
    LOG_FLUENT_SINK_ENDPOINT = var.fluent_sink_endpoint
    LOG_FLUENT_TAG           = var.fluent_tag
  }

  # The receiver is reached by its address: nothing of Amazon's to allow.
  statements = []
}
