# A stand-in for a module of the originals: the same resources at the same addresses, for the test of the migration.

variable "name" {
  type = string
}

variable "kinesis_stream_arn" {
  type = string
}

variable "log_bucket" {
  type = string
}

variable "log_path_prefix" {
  type = string
}

variable "batch_size" {
  type = number
}

variable "lambda_package_file" {
  type = string
}

resource "aws_cloudwatch_log_group" "logs" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = 30
}

resource "aws_lambda_function" "function" {
  function_name    = var.name
  handler          = "main.handler"
  role             = module.iam.arn
  runtime          = "python3.8"
  memory_size      = 256
  timeout          = 60
  filename         = var.lambda_package_file
  source_code_hash = filebase64sha256(var.lambda_package_file)

  tracing_config {
    mode = "PassThrough"
  }

  environment {
    variables = {
      TZ            = "UTC"
      LOG_S3_BUCKET = var.log_bucket
      LOG_S3_PREFIX = var.log_path_prefix
    }
  }
}

resource "aws_lambda_event_source_mapping" "kinesis_mapping" {
  batch_size        = var.batch_size
  event_source_arn  = var.kinesis_stream_arn
  enabled           = true
  function_name     = aws_lambda_function.function.arn
  starting_position = "TRIM_HORIZON"
}

# In the place of AWSXrayWriteOnlyAccess: moto knows no policies of AWS.
resource "aws_iam_policy" "xray" {
  name = "${var.name}-xray"

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["xray:PutTraceSegments"], Resource = ["*"] }]
  })
}

resource "aws_iam_role_policy_attachment" "xray_access" {
  policy_arn = aws_iam_policy.xray.arn
  role       = module.iam.name
}

module "iam" {
  source = "./iam"

  name = var.name
}
