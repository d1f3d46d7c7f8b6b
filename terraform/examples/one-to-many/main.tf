# One stream, many destinations: each has a function with a mapping of its own, so that one that is down stops no other.

locals {
  package = {
    file         = var.lambda_package_file
    url          = var.lambda_package_url
    base64sha256 = var.lambda_package_base64sha256
  }
  alarms = { actions = [aws_sns_topic.alarms.arn] }
}

resource "aws_kinesis_stream" "logs" {
  name             = var.name
  retention_period = var.retention_hours

  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }
}

module "to_s3" {
  source = "../../modules/kinesis-to-s3"

  name                        = "${var.name}-to-s3"
  lambda_package_file         = local.package.file
  lambda_package_url          = local.package.url
  lambda_package_base64sha256 = local.package.base64sha256
  architectures               = var.architectures

  kinesis_stream_arn = aws_kinesis_stream.logs.arn
  log_bucket         = aws_s3_bucket.logs.id
  log_path_prefix    = "archive"

  batch_size                         = 10000
  maximum_batching_window_in_seconds = 60

  alarms = local.alarms
}

module "to_es" {
  source = "../../modules/kinesis-to-es"
  count  = var.elasticsearch == null ? 0 : 1

  name                        = "${var.name}-to-es"
  lambda_package_file         = local.package.file
  lambda_package_url          = local.package.url
  lambda_package_base64sha256 = local.package.base64sha256
  architectures               = var.architectures

  kinesis_stream_arn = aws_kinesis_stream.logs.arn
  elasticsearch_host = var.elasticsearch.host
  elasticsearch_arn  = var.elasticsearch.arn
  index_name_prefix  = var.elasticsearch.index_name_prefix

  failed_log_s3_bucket = aws_s3_bucket.logs.id
  failed_log_s3_prefix = "failed/to-es"

  alarms = local.alarms
}

module "es_cleaner" {
  source = "../../modules/es-cleaner"
  count  = var.elasticsearch == null ? 0 : 1

  name                        = "${var.name}-es-cleaner"
  lambda_package_file         = local.package.file
  lambda_package_url          = local.package.url
  lambda_package_base64sha256 = local.package.base64sha256
  architectures               = var.architectures

  elasticsearch_host  = var.elasticsearch.host
  elasticsearch_arn   = var.elasticsearch.arn
  max_age_days        = var.elasticsearch.max_age_days
  schedule_expression = "cron(0 1 * * ? *)"
}

module "to_fluent" {
  source = "../../modules/kinesis-to-fluent"
  count  = var.fluent == null ? 0 : 1

  name                        = "${var.name}-to-fluent"
  lambda_package_file         = local.package.file
  lambda_package_url          = local.package.url
  lambda_package_base64sha256 = local.package.base64sha256
  architectures               = var.architectures

  kinesis_stream_arn   = aws_kinesis_stream.logs.arn
  fluent_sink_endpoint = var.fluent.sink_endpoint
  fluent_tag           = var.fluent.tag
  subnet_ids           = var.fluent.subnet_ids
  security_group_ids   = var.fluent.security_group_ids

  failed_log_s3_bucket = aws_s3_bucket.logs.id
  failed_log_s3_prefix = "failed/to-fluent"

  alarms = local.alarms
}
