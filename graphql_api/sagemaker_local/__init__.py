"""A stand-in for Amazon SageMaker on this machine, to rehearse a deployment: the command `text2image sagemaker-local`.

It speaks the protocols of the SageMaker Runtime (real-time, streaming and asynchronous invocations) and of
DescribeEndpoint on 127.0.0.1, and draws with the built-in renderer in the place of a model. The server's own AWS code
runs unchanged: boto's variables AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME and AWS_ENDPOINT_URL_SAGEMAKER say where it is, and
AWS_ENDPOINT_URL where S3, SNS and SQS are, for which moto's server will do.

    text2image sagemaker-local --endpoint sd=jumpstart-sd --endpoint steps=jumpstart-sd:stream
    text2image sagemaker-local --endpoint later=jumpstart-sd:async --output s3://bucket/answers \\
        --success-topic arn:aws:sns:us-east-1:123456789012:done --error-topic arn:aws:sns:us-east-1:123456789012:failed

What goes wrong on AWS can be made to go wrong here (`faults.py` has the whole list):

    curl -X PUT localhost:8090/-/faults -d '[{"kind": "throttle", "times": 2}, {"kind": "slow", "seconds": 5}]'
    curl -X DELETE localhost:8090/-/faults
    curl localhost:8090/-/invocations        # what was asked for, how it ended, and whether the model ran

It is not SageMaker: it checks no signature, knows no IAM, keeps nothing, and draws sketches. What it says on the wire
is documented by AWS unless a comment says "observed", from messages that users have published, or "inferred".
"""
