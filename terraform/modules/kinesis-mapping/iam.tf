# What the mapping does with the function's role.

locals {
  read_statement = {
    Sid    = "ReadStream"
    Effect = "Allow"
    Action = [
      "kinesis:DescribeStream",
      "kinesis:DescribeStreamSummary",
      "kinesis:GetRecords",
      "kinesis:GetShardIterator",
      "kinesis:ListShards",
    ]
    Resource = var.stream_arn
  }

  subscribe_statements = [for consumer in aws_kinesis_stream_consumer.consumer : {
    Sid      = "SubscribeToStream"
    Effect   = "Allow"
    Action   = ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"]
    Resource = consumer.arn
  }]

  decrypt_statements = [for key in var.stream_kms_key_arn[*] : {
    Sid      = "DecryptStream"
    Effect   = "Allow"
    Action   = "kms:Decrypt"
    Resource = key
  }]

  # By the service in the destination's ARN.
  on_failure_actions = {
    sqs = { "" = ["sqs:SendMessage"] }
    sns = { "" = ["sns:Publish"] }
    s3  = { "" = ["s3:ListBucket"], "/*" = ["s3:PutObject"] }
  }
  on_failure_statements = flatten([for arn in var.on_failure_destination_arn[*] : [
    for behind, actions in local.on_failure_actions[split(":", arn)[2]] : {
      Sid      = behind == "" ? "TellOfFailures" : "KeepFailures"
      Effect   = "Allow"
      Action   = actions
      Resource = "${arn}${behind}"
    }
  ]])

  on_failure_key_statements = [for key in var.on_failure_kms_key_arn[*] : {
    Sid      = "EncryptFailures"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = key
  }]
}
