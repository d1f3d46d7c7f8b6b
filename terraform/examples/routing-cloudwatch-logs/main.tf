# The routing pattern behind CloudWatch Logs (subscriptions.tf): one stream takes everything; for each target a function forwards what it wants by log type; each
# target has consumers of its own.

locals {
  alarms = { actions = [aws_sns_topic.alarms.arn] }
}

resource "aws_kinesis_stream" "router" {
  name             = "${var.name}-router"
  retention_period = var.retention_hours

  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }
}

resource "aws_kinesis_stream" "target" {
  for_each = var.targets

  name             = "${var.name}-${each.key}"
  retention_period = var.retention_hours

  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }
}

module "forward" {
  source   = "../../modules/kinesis-forward"
  for_each = var.targets

  name                        = "${var.name}-forward-${each.key}"
  lambda_package_file         = var.lambda_package_file
  lambda_package_url          = var.lambda_package_url
  lambda_package_base64sha256 = var.lambda_package_base64sha256
  architectures               = var.architectures

  source_stream_name       = aws_kinesis_stream.router.name
  target_stream_name       = aws_kinesis_stream.target[each.key].name
  log_type_field_whitelist = each.value.log_types

  # Up to two functions poll a shard without haste; from the third on, each needs a throughput of its own.
  enhanced_fan_out = var.enhanced_fan_out

  failed_log_s3_bucket = aws_s3_bucket.logs.id
  failed_log_s3_prefix = "failed/forward-${each.key}"

  alarms = local.alarms
}

module "archive" {
  source   = "../../modules/kinesis-to-s3"
  for_each = { for name, target in var.targets : name => target if target.archive }

  name                        = "${var.name}-archive-${each.key}"
  lambda_package_file         = var.lambda_package_file
  lambda_package_url          = var.lambda_package_url
  lambda_package_base64sha256 = var.lambda_package_base64sha256
  architectures               = var.architectures

  kinesis_stream_arn = aws_kinesis_stream.target[each.key].arn
  log_bucket         = aws_s3_bucket.logs.id
  log_path_prefix    = "archive/${each.key}"

  batch_size                         = 10000
  maximum_batching_window_in_seconds = 60

  failed_log_s3_bucket = aws_s3_bucket.logs.id
  failed_log_s3_prefix = "failed/archive-${each.key}"

  alarms = local.alarms
}
