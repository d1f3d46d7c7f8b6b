# One stream, one destination: applications → stream → kinesis-to-s3 → bucket.

resource "aws_kinesis_stream" "logs" {
  name             = var.name
  retention_period = var.retention_hours
  encryption_type  = "KMS"
  # Amazon's own key: no right of the function's role is needed.
  kms_key_id = "alias/aws/kinesis"

  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }
}

resource "aws_sqs_queue" "given_up" {
  name                      = "${var.name}-given-up"
  message_retention_seconds = 1209600
}

module "to_s3" {
  source = "../../modules/kinesis-to-s3"

  name                        = "${var.name}-to-s3"
  lambda_package_file         = var.lambda_package_file
  lambda_package_url          = var.lambda_package_url
  lambda_package_base64sha256 = var.lambda_package_base64sha256
  architectures               = var.architectures

  kinesis_stream_arn = aws_kinesis_stream.logs.arn
  log_bucket         = aws_s3_bucket.logs.id
  log_path_prefix    = "archive"

  # Few large objects instead of many small ones.
  batch_size                         = 10000
  maximum_batching_window_in_seconds = 60

  # A batch that fails for a day is given up, and the queue is told which one it was.
  maximum_record_age_in_seconds  = 86400
  bisect_batch_on_function_error = true
  on_failure_destination_arn     = aws_sqs_queue.given_up.arn

  alarms = { actions = [aws_sns_topic.alarms.arn] }
}
